"""Who is in which part and fold, and which units of work the study is cut into."""
