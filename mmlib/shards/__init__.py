"""The Parquet files of clips, from fetched to ready to train on."""
