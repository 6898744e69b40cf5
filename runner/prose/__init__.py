"""What filters share about running text: its code left out, a line taken out, function words, texts worth a look, the
codes of languages.

Pure functions of str and records.
"""
