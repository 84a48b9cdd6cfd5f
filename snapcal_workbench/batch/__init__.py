"""Many calibrations at once, on one machine or many, and a look at every run that a beam time brings.

A *task* is one calibration of a batch: the inputs of `snapcal calibrate`, in a folder of its own. A *worker* is a
process that does one task at a time; Dask starts them, hands out the tasks, and repeats those of a worker that is lost.
A *study* is a batch whose tasks differ in options, so that it shows which of them leave the smallest error.

Nothing here imports Dask before a batch needs it: it is the extra `[batch]`.
"""
