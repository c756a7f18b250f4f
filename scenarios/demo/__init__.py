"""The demo: people write in a browser, and the relay as a program answers them, on the simulated API.

| module | |
|---|---|
| running.py | from a free port to a page that can be opened, and the end of all of it |
| chat_world.py | a world whose customers are people, and in which a button lets something go wrong |
| chat_view.py | what the page shows, made of the world's trace |
| chat_page.py | the page's server: its files, what it is told, what it tells |
| answers.py | what the simulated assistant answers |
| fix_program.py | the incident's fix as a program, to be compared with `drain` |
| page/ | the page |
"""
