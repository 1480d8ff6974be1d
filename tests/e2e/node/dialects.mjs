// The stock JavaScript clients of every dialect: what each makes of an answer, in one form.
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { DefaultChatTransport, jsonSchema, readUIMessageStream, streamText, tool } from "ai";
import OpenAI from "openai";
import { run, text } from "./plan.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const apiKey = "sk-client";
const once = { maxRetries: 0, timeout: 15000 };
const openai = (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey, ...once });
const anthropic = (url) => new Anthropic({ baseURL: url, apiKey, ...once });
const names = ["weather", "time"];

// What is asked, in each SDK's own words.
const asked = {
  chat(asks, { schema, pixel }) {
    const image = { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } };
    const content = asks === "image" ? [{ type: "text", text: "hi" }, image] : "hi";
    const function_ = (name) => ({ type: "function", function: { name, description: "d", parameters: schema } });
    return {
      messages: [{ role: "system", content: "Be brief." }, { role: "user", content }],
      ...(asks === "tools" && { tools: names.map(function_) }),
      ...(asks === "schema" && { response_format: { type: "json_schema", json_schema: { name: "s", schema } } }),
      ...(asks === "thinking" && { reasoning_effort: "high" }),
    };
  },
  responses(asks, { schema, pixel }) {
    const image = { type: "input_image", detail: "auto", image_url: `data:image/png;base64,${pixel}` };
    const content = asks === "image" ? [{ type: "input_text", text: "hi" }, image] : "hi";
    return {
      instructions: "Be brief.",
      input: [{ role: "user", content }],
      ...(asks === "tools" && {
        tools: names.map((name) => ({ type: "function", name, description: "d", parameters: schema, strict: true })),
      }),
      ...(asks === "schema" && { text: { format: { type: "json_schema", name: "s", schema } } }),
      ...(asks === "thinking" && { reasoning: { effort: "high", summary: "auto" } }),
    };
  },
  messages(asks, { schema, pixel }) {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: pixel } };
    const content = asks === "image" ? [{ type: "text", text: "hi" }, image] : "hi";
    return {
      max_tokens: 4096,
      system: "Be brief.",
      messages: [{ role: "user", content }],
      ...(asks === "tools" && { tools: names.map((name) => ({ name, description: "d", input_schema: schema })) }),
      ...(asks === "schema" && { output_config: { format: { type: "json_schema", schema } } }),
      ...(asks === "thinking" && { thinking: { type: "enabled", budget_tokens: 2048 } }),
    };
  },
  sdk(asks, { schema, pixel }) {
    const image = { type: "image", image: Buffer.from(pixel, "base64"), mediaType: "image/png" };
    const tools = names.map((name) => [name, tool({ description: "d", inputSchema: jsonSchema(schema) })]);
    return {
      system: "Be brief.",
      messages: [{ role: "user", content: asks === "image" ? [{ type: "text", text: "hi" }, image] : "hi" }],
      ...(asks === "tools" && { tools: Object.fromEntries(tools) }),
    };
  },
};

const nothing = () => ({ said: "", reasoning: "", calls: [], finish: "", usage: null, error: "", status: 0, shown: "" });
const parsed = (calls) => Object.values(calls).map(([id, name, text]) => [id, name, JSON.parse(text || "{}")]);

const clients = {
  async chat(url, body, seen) {
    const calls = {};
    const stream = await openai(url).chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
    for await (const { choices, usage } of stream) {
      for (const { delta, finish_reason } of choices) {
        seen.said += (delta.content ?? "") + (delta.refusal ?? "");
        seen.reasoning += delta.reasoning_content ?? "";
        seen.finish = finish_reason ?? seen.finish;
        for (const { index, id, function: f } of delta.tool_calls ?? []) {
          const call = (calls[index] ??= ["", "", ""]);
          call[0] += id ?? "";
          call[1] += f?.name ?? "";
          call[2] += f?.arguments ?? "";
        }
      }
      if (usage) seen.usage = [usage.prompt_tokens, usage.completion_tokens];
    }
    seen.calls = parsed(calls);
  },
  async chatHelper(url, body, seen) {
    const runner = openai(url).chat.completions.stream(body);
    const words = ({ content, refusal } = {}) => (content ?? "") + (refusal ?? "");
    runner.on("chunk", ({ choices }) => (seen.said += words(choices[0]?.delta)));
    const { choices } = await runner.finalChatCompletion();
    const [{ message, finish_reason }] = choices;
    seen.finish = finish_reason;
    seen.calls = (message.tool_calls ?? []).map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments)]);
  },
  async responses(url, body, seen) {
    const stream = await openai(url).responses.create({ ...body, stream: true });
    for await (const event of stream) told(event, seen);
  },
  async responsesHelper(url, body, seen) {
    const runner = openai(url).responses.stream(body);
    for await (const event of runner) told(event, seen);
    const final = await runner.finalResponse();
    if (final.output_text !== undefined && seen.said !== final.output_text && !seen.refused) {
      seen.error ||= `the helper has ${JSON.stringify(final.output_text)}`;
    }
  },
  async messages(url, body, seen) {
    const blocks = [];
    const used = {};
    for await (const event of await anthropic(url).messages.create({ ...body, stream: true })) {
      if (event.type === "message_start") Object.assign(used, event.message.usage);
      if (event.type === "content_block_start") blocks[event.index] = { ...event.content_block, text: "" };
      if (event.type === "content_block_delta") {
        seen.said += event.delta.text ?? "";
        seen.reasoning += event.delta.thinking ?? "";
        blocks[event.index].text += event.delta.partial_json ?? "";
      }
      if (event.type === "message_delta") {
        seen.finish = event.delta.stop_reason;
        for (const [name, count] of Object.entries(event.usage)) if (count !== null) used[name] = count;
        seen.usage = counted(used);
      }
    }
    seen.calls = blocks.filter(({ type }) => type === "tool_use").map(({ id, name, text }) => [id, name, JSON.parse(text || "{}")]);
  },
  async messagesHelper(url, body, seen) {
    const runner = anthropic(url).messages.stream(body);
    runner.on("text", (text) => (seen.said += text));
    const final = await runner.finalMessage();
    seen.reasoning = final.content.map((block) => block.thinking ?? "").join("");
    seen.calls = final.content.filter(({ type }) => type === "tool_use").map(({ id, name, input }) => [id, name, input]);
    seen.finish = final.stop_reason;
    seen.usage = counted(final.usage);
  },
  sdkChat: (url, body, seen) => sdk(createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat(body.model), body, seen),
  sdkResponses: (url, body, seen) => sdk(createOpenAI({ baseURL: `${url}/v1`, apiKey }).responses(body.model), body, seen),
  sdkMessages: (url, body, seen) => sdk(createAnthropic({ baseURL: `${url}/v1`, apiKey })(body.model), body, seen),
  sdkCompatible: (url, body, seen) =>
    sdk(createOpenAICompatible({ name: "x", baseURL: `${url}/v1`, apiKey, includeUsage: true })(body.model), body, seen),
  // What useChat stands on: its transport, and its reader of parts.
  async ui(url, { model, tools }, seen, { pixel }, asks) {
    const transport = new DefaultChatTransport({ api: `${url}/api/chat`, body: { model, tools, system: "Be brief." } });
    const image = { type: "file", mediaType: "image/png", url: `data:image/png;base64,${pixel}` };
    const parts = [{ type: "text", text: "hi" }, ...(asks === "image" ? [image] : [])];
    const messages = [{ id: "u1", role: "user", parts }];
    const stream = await transport.sendMessages({ chatId: `chat-${model}`, messages, trigger: "submit-message" });
    let last = { parts: [] };
    const onError = (error) => (seen.error = error.message);
    for await (const message of readUIMessageStream({ stream, onError })) last = message;
    seen.said = last.parts.filter(({ type }) => type === "text").map(({ text }) => text).join("");
    seen.reasoning = last.parts.filter(({ type }) => type === "reasoning").map(({ text }) => text).join("");
    const called = last.parts.filter(({ type, state }) => type.startsWith("tool-") && state === "input-available");
    seen.calls = called.map(({ type, toolCallId, input }) => [toolCallId, type.slice(5), input]);
    const usage = last.metadata?.usage;
    if (usage) seen.usage = [usage.inputTokens, usage.outputTokens];
  },
};

function told(event, seen) {
  if (event.type === "response.output_text.delta" || event.type === "response.refusal.delta") seen.said += event.delta;
  if (event.type === "response.refusal.delta") seen.refused = true;
  if (event.type === "response.reasoning_summary_text.delta") seen.reasoning += event.delta;
  if (event.type === "response.output_item.done" && event.item.type === "function_call") {
    seen.calls.push([event.item.call_id, event.item.name, JSON.parse(event.item.arguments)]);
  }
  if (["response.completed", "response.incomplete", "response.failed"].includes(event.type)) {
    const { status, error, usage, incomplete_details } = event.response;
    seen.finish = incomplete_details?.reason ?? status;
    if (error) seen.error = error.code;
    if (usage) seen.usage = [usage.input_tokens, usage.output_tokens];
  }
}

const counted = (usage) => [
  usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0),
  usage.output_tokens,
];

async function sdk(model, { model: _, ...body }, seen) {
  const { fullStream } = streamText({ model, ...body, maxRetries: 0, onError: () => {} });
  for await (const part of fullStream) {
    if (part.type === "text-delta") seen.said += part.text;
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    // One that was cut is no call to the SDK either: it tells the model so, and runs nothing.
    if (part.type === "tool-call" && !part.invalid) seen.calls.push([part.toolCallId, part.toolName, part.input]);
    if (part.type === "error") failed(part.error, seen);
    if (part.type === "finish") {
      seen.finish = part.finishReason;
      seen.usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens];
    }
  }
}

function failed(error, seen) {
  const inner = error?.error?.error ?? error?.error ?? error?.data?.error ?? error;
  seen.status = error?.status ?? error?.statusCode ?? 0;
  seen.shown += `${text(error)}${error?.responseBody ?? ""}${JSON.stringify(error?.responseHeaders ?? Object.fromEntries(error?.headers ?? []))}`;
  seen.error ||= `${error?.code ?? inner?.code ?? inner?.type ?? error?.name ?? "error"}: ${error?.message ?? JSON.stringify(error)}`;
}

// The words in which each client asks.
const words = (client) => (client === "ui" || client.startsWith("sdk") ? "sdk" : client.replace("Helper", ""));

async function play({ client, model, asks }, plan) {
  const seen = nothing();
  const body = client === "ui" ? ui(asks, plan) : asked[words(client)](asks, plan);
  try {
    await clients[client](plan.url, { model, ...body }, seen, plan, asks);
  } catch (error) {
    failed(error, seen);
  }
  return seen;
}

const ui = (asks, { schema }) =>
  asks === "tools" ? { tools: Object.fromEntries(names.map((name) => [name, { description: "d", inputSchema: schema }])) } : {};

await run(play, 8);
