"""The twelve classes: each module has its ranges, its sound and its sight."""
