"""Programs judged from outside: what the command `judge` is made of.

| module | |
|---|---|
| config.py | how a program is started and reached, from `relaysim.toml` and the command line |
| early_answers.py | what is known while worlds are still played |
| origin.py | the lines that play a world again name the program |
| playable.py | what of a scenario cannot be played from outside |
| trials.py | runs worlds around copies of the program, several at once, and keeps their traces for stories |
"""
