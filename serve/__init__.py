"""Above both stages: score new memes with a finished run, from Python, a table, or a service.

`finished_models` refuses an unfinished run. `predictor` loads a run once and answers many times.
`table_predictions` scores tables part by part into `resumable_results`, `shards` folders of tables,
in one process or in many; `drift` says when memes differ from the held-out ones. `server` and `api`
answer over HTTP: `guards` refuses bad requests, `meme_requests` reads the others, `batching` scores
several at once, `service_metrics` counts them. `explanations` says why a meme has its probability,
and `gallery_explanations` that of the memes in the report. `review` collects what people decide.
`export` writes a folder that scores without PyTorch. `config` has the settings of all.
"""
