"""Score a folder of tables, each one a shard with a result file of its own.

`shard_list` finds the shards and those that are finished. `score_shard` scores one.
`predict_shards` scores all, in this process or, with `ray_engine`, in many.
"""
