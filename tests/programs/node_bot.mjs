// A bot of Node's own parts alone, as the incident's server was: it answers each message as it comes, and when the thread is
// busy it says sorry.
import http from "node:http";

const { PORT, OPENAI_BASE_URL: api, RELAYSIM_PROVIDER_URL: provider, PHONE_NUMBER_ID: number } = process.env;
const SORRY = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente.";
const threads = new Map();

async function ask(url, body) {
  const headers = { "content-type": "application/json", authorization: "Bearer sk-any", "openai-beta": "assistants=v2" };
  const answer = await fetch(url, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const send = (to, text) =>
  ask(`${provider}/v21.0/${number}/messages`, { messaging_product: "whatsapp", to, type: "text", text: { body: text } });

async function handle(phone, text) {
  try {
    if (!threads.has(phone)) threads.set(phone, ask(`${api}/threads`, {}));
    const thread = `${api}/threads/${(await threads.get(phone)).id}`;
    await ask(`${thread}/messages`, { role: "user", content: text });
    let run = await ask(`${thread}/runs`, { assistant_id: "asst_x" });
    while (["queued", "in_progress"].includes(run.status)) {
      await new Promise((wake) => setTimeout(wake, 50));
      run = await ask(`${thread}/runs/${run.id}`);
    }
    const found = await ask(`${thread}/messages?limit=1`);
    await send(phone, found.data[0].content[0].text.value);
  } catch (error) {
    console.error(error.message);
    await send(phone, SORRY);
  }
}

http
  .createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    response.end();
    for (const entry of JSON.parse(body).entry)
      for (const message of entry.changes[0].value.messages ?? []) handle(message.from, message.text.body);
  })
  .listen(Number(PORT), "127.0.0.1");
