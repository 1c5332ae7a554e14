"""The page that answers the three questions: tables, figures, examples and the HTML around them."""
