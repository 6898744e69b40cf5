"""`recipe report --serve`: the runs of a workspace in a browser, on this machine only, while they go on.

    noted      what a run is at, in a small file beside the store, for other processes to read
    reading    files of a workspace, whose links are not followed
    runs       what is known of each run: its state, its verdict, its numbers
    going      a run that goes on: its steps, the training's curve, answers, the end of a log
    comparison what `recipe compare` says, and where the recipes differ
    pages      all that as pages
    server     who may ask, and how much

Nothing here changes a run or waits for one. All that is read may be a stranger's.
"""
