"""What bots call beside a conversation API: chat completions, embeddings, audio, files, vector stores, moderations, models.

No backend: these endpoints stand beside whichever API is simulated, at the same addresses, through the same doors. Each
gives a small answer that is a function of the request and of a script, so that a bot which uses them goes on; no model is
behind it. What has no such answer is refused in words that say so (`not_simulated`), and never held against the bot: the
doors note the call, and the world in which it was made does not count.

- `routes`: which requests these are, and the calls that they make; `multipart`: bodies of uploads.
- `settings`: the script, as scenario files and servers carry it.
- `endpoints`: one world's endpoints; begin there.
- `chat`, `schema_values`: completions, their streams, and values that fit a JSON schema.
- `embeddings`, `audio`, `stored_files`, `fixed_answers`: all others.

Evidence: shapes are those of the SDK's models (read in SDK 3.54.0); what they say is made up. Imports: what simulated APIs
have in common, except the wire, which finds its calls here.
"""
