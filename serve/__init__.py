"""Above both stages: score new memes with a finished run, from Python, a table, or a service.

`predictor` loads a run once and answers many times. `table_predictions` scores tables part by part,
`shards` folders of tables, in one process or in many. `server` and `api` answer over HTTP;
`review` collects what people decide. `export` writes a folder that scores without PyTorch.
"""
