"""`recipe report --serve`: the runs of a workspace in a browser, on this machine only, while they go on.

    reading    files of a workspace, whose links are not followed
    runs       what is known of each run: its state, its verdict, its numbers
    going      a run that goes on: its steps, answers, the end of a log; `curve`: its training
    comparison what `recipe compare` says, and where the recipes differ
    pages      all that as pages; `answering`: which page is asked for
    server     who may ask, and how much

What a run is at is said by `noting`. Nothing here changes a run or waits for one. All that is read may be a stranger's.
"""
