"""`relaysim-relay`: the relay as a program, as it is started in a container. Needs the extra `relay`.

What lives here
    main.py           the command: reads the configuration, says all that is wrong with it, starts the service; begin here
    __main__.py       the same as `python -m relaysim.relay.program`
    service.py        one process: Redis, the conversation API, `drain` and the intake, from start to stop
    intake.py         the ASGI application: webhooks, health, metrics
    answering.py      how many conversations one process answers at once
    json_body.py      a body as JSON, within limits
    provider.py       the seam to a provider of chat channels
    whatsapp.py       WhatsApp Cloud API
    evolution.py      Evolution API
    sending.py        one request to a provider, and what is known of its text afterwards
    durability.py     whether the server keeps what it has taken
    embedded.py       a Valkey of one's own, for a first try
    variables.py      every environment variable, with unit, range and default
    environment.py    how the values of variables are read
    configuration.py  the configuration as a whole, and all that is wrong with it
    program_metrics.py  metrics of webhooks and texts
    log_setup.py      where log lines go, and in which form

May import the rest of `relay`, `uvicorn`, and `httpx2` (which `openai` stands on). Nothing else of the relay imports this.
docs/relay-program.md says how to run it, and what it promises.
"""
