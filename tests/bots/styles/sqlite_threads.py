"""Thread ids and seen messages in SQLite. Who writes twice at once is looked up twice before the first thread is noted."""

import sqlite3

from fastapi import BackgroundTasks, FastAPI
from thread_per_message import client, os, send_text

app = FastAPI()
database = sqlite3.connect("bot.db", check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS threads (user TEXT PRIMARY KEY, thread_id TEXT)")
database.execute("CREATE TABLE IF NOT EXISTS seen (message_id TEXT PRIMARY KEY)")
database.commit()


def thread_of(user: str) -> str:
    row = database.execute("SELECT thread_id FROM threads WHERE user = ?", (user,)).fetchone()
    if row is None:
        row = (client.beta.threads.create().id,)
        database.execute("INSERT INTO threads VALUES (?, ?)", (user, row[0]))
        database.commit()
    return row[0]


def answer(user: str, text: str) -> None:
    thread_id = thread_of(user)
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    messages = client.beta.threads.messages.list(thread_id, run_id=run.id)
    send_text(user, messages.data[0].content[0].text.value)


def new_messages(payload: dict) -> list[dict]:
    changes = [change["value"] for entry in payload["entry"] for change in entry["changes"]]
    messages = [message for value in changes for message in value.get("messages", [])]
    new = [m for m in messages if database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (m["id"],)).rowcount]
    database.commit()
    return new


@app.post("/webhook")
def webhook(payload: dict, background: BackgroundTasks) -> dict:
    for message in new_messages(payload):
        background.add_task(answer, message["from"], message["text"]["body"])
    return {"status": "ok"}
