"""Data files of the usual kinds, read row by row: packed or plain, JSON, tables, Parquet; and what their rows mean.

`opened` unpacks and cuts lines, with caps; `jsontext` and `tabular` read rows and name those that are none; `kinds`
knows which file is which; `rows` makes records of rows, whatever their columns are called.
"""
