// What people do with the stock SDK, one function each; a case names one and says with which model.
import OpenAI from "openai";
import { run } from "./plan.mjs";

const messages = [{ role: "user", content: "hi" }];
const words = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
const failure = (error) => ({ name: error.constructor.name, status: error.status ?? 0, code: error.code ?? null });
const collect = async (stream, most = Infinity) => {
  const chunks = [];
  try {
    for await (const chunk of stream) if (chunks.push(chunk) >= most) break;
  } catch (error) {
    return { chunks, text: words(chunks), error: failure(error) };
  }
  return { chunks, text: words(chunks), error: null };
};

const uses = {
  async stream(client, model) {
    const { data, response } = await client.chat.completions.create({ model, messages, stream: true }).withResponse();
    const { text, chunks } = await collect(data);
    const { headers } = response;
    const id = headers.get("headrace-stream-id");
    return { text, finish: chunks.at(-1).choices[0].finish_reason, id, location: headers.get("location") };
  },
  async usage(client, model) {
    const stream_options = { include_usage: true };
    const { chunks } = await collect(await client.chat.completions.create({ model, messages, stream: true, stream_options }));
    return chunks.filter((chunk) => chunk.usage).map((chunk) => [chunk.choices.length, chunk.usage.total_tokens]);
  },
  async whole(client, model) {
    const reply = await client.chat.completions.create({ model, messages });
    return { text: reply.choices[0].message.content, finish: reply.choices[0].finish_reason, total: reply.usage.total_tokens };
  },
  async helper(client, model) {
    const runner = client.chat.completions.stream({ model, messages });
    const final = await runner.finalChatCompletion();
    return { text: final.choices[0].message.content, calls: final.choices[0].message.tool_calls?.filter(Boolean) ?? [] };
  },
  // Leaves after some chunks and comes back for the rest.
  async rejoin(client, model) {
    const { data, response } = await client.chat.completions.create({ model, messages, stream: true }).withResponse();
    const before = await collect(data, 5);
    const id = response.headers.get("headrace-stream-id");
    const query = { stream: true, starting_after: 5 };
    const after = await collect(await client.get(`/chat/completions/${id}`, { query, stream: true }));
    const whole = await client.chat.completions.retrieve(id);
    return { before: before.text, after: after.text, whole: whole.choices[0].message.content };
  },
  async cancel(client, model) {
    const { data, response } = await client.chat.completions.create({ model, messages, stream: true }).withResponse();
    const reading = collect(data);
    const path = `/chat/completions/${response.headers.get("headrace-stream-id")}/cancel`;
    const replies = [await client.post(path), await client.post(path)];
    return { error: (await reading).error, replies: replies.map((reply) => [reply.cancelled, reply.status]) };
  },
  async attach(client, model) {
    const headers = { "Idempotency-Key": `key-${model}` };
    const ask = (content) =>
      client.chat.completions
        .create({ model, messages: [{ role: "user", content }], stream: true }, { headers })
        .withResponse();
    const both = await Promise.all([ask("hi"), ask("hi")]);
    const texts = await Promise.all(both.map(async ({ data }) => (await collect(data)).text));
    const other = await ask("other").catch(failure);
    return { texts, ids: both.map(({ response }) => response.headers.get("headrace-stream-id")), other };
  },
  async errors(client) {
    const asked = [
      { model: "nobody/knows", messages },
      { model: "demo", messages: [] },
      { model: "demo" },
      { model: "demo", messages, temperature: "warm" },
    ];
    return Promise.all(asked.map((body) => client.chat.completions.create({ ...body, stream: true }).catch(failure)));
  },
  async models(client) {
    return (await client.models.list()).data.map((model) => [model.id, model.object]);
  },
  async retried(client, model) {
    const stream = await client.withOptions({ maxRetries: 2 }).chat.completions.create({ model, messages, stream: true });
    return (await collect(stream)).text;
  },
};

async function play({ use, model }, { url }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-client", maxRetries: 0, timeout: 8000 });
  return uses[use](client, model);
}

await run(play, 6);
