"""DIVL and QAM on flat observations: what the OGBench tasks and the speed bench run.

A flat observation needs no encoder, so an update is nothing but matrix products of small MLPs. They are written out
here (`mlp`), with what a pass leaves behind reused instead of computed again (`qam_update`). The mathematics is that
of `lwd_learner.algorithms`, but for two differences of the backup `divl` that `qam_update` names; tests hold the two to
each other.
"""
