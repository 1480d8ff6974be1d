// Plays cases with the stock SDK: a plan in JSON on standard input, what came of each case in JSON on standard output.
import OpenAI from "openai";
import { run, text } from "./plan.mjs";

const modes = {
  // for await … of a raw stream
  async stream(client, body, seen) {
    const stream = await client.chat.completions.create({ ...body, stream: true });
    for await (const chunk of stream) seen(chunk);
  },
  // the helper, by its final completion
  async helper(client, body, seen) {
    const runner = client.chat.completions.stream(body);
    runner.on("chunk", seen);
    const final = await runner.finalChatCompletion();
    return final.choices[0].finish_reason;
  },
  // the helper, by iteration
  async iterated(client, body, seen) {
    for await (const chunk of client.chat.completions.stream(body)) seen(chunk);
  },
  async whole(client, body, seen) {
    seen(await client.chat.completions.create(body));
  },
};

async function play({ id, model, mode }, { url, prompt }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-client", maxRetries: 0, timeout: 8000 });
  const result = { id, mode, text: "", finish: null, error: null, shown: "" };
  const seen = (chunk) => {
    const choice = chunk.choices?.[0];
    result.text += choice?.delta?.content ?? choice?.message?.content ?? "";
    result.finish = choice?.finish_reason ?? result.finish;
    result.shown += JSON.stringify(chunk);
  };
  try {
    await modes[mode](client, { model, messages: [{ role: "user", content: prompt }] }, seen);
  } catch (error) {
    result.error = { name: error.constructor.name, status: error.status ?? 0, code: error.code ?? null };
    result.shown += text(error);
    const headers = error.headers ? Object.fromEntries(error.headers.entries()) : {};
    result.error.headers = headers;
    result.shown += JSON.stringify(headers);
  }
  return result;
}

await run(play, 16);
