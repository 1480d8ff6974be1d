// The server's JSON, typed.
import { Refused } from "./headrace.ts";

export type State = "completed" | "failed" | "cancelled" | "interrupted";

export interface Usage {
  input: number;
  output: number;
  exact: boolean;
}

export type Part =
  | { type: "image"; data_url: string }
  | { type: "reasoning"; text: string }
  | { type: "tool"; name: string; arguments: string }
  | { type: "refusal"; text: string };

export interface Message {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  text: string;
  parts: Part[];
  model: string | null;
  stream: string | null;
  state: State | null; // null: open
  reason?: string;
  usage: Usage | null;
  created: number;
}

export interface Settings {
  model?: string;
  system?: string;
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
}

export interface Summary {
  id: string;
  title: string;
  created: number;
  updated: number;
  model: string;
  open: boolean;
}

export interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  settings: Settings;
  leaf: string | null;
  messages: Message[];
}

export interface Session {
  protected: boolean;
  signed_in: boolean;
  owner: string | null;
  admin: boolean;
}

/** A user's new message. */
export interface Said {
  id: string;
  text: string;
  parts?: Part[];
}

export interface Ask {
  id: string;
  parent: string | null;
  message?: Said;
  continue?: true;
  model: string;
  stream: boolean;
  settings?: Settings;
}

export interface Asked {
  message: Message | null;
  answer: Message;
  stream: string;
}

/** The status of a server that could not be reached. */
export const UNREACHED = 0;

type Method = "GET" | "POST" | "PATCH" | "DELETE";

interface Call {
  body?: object;
  signal?: AbortSignal;
}

async function reached(path: string, method: Method, { body, signal }: Call): Promise<Response> {
  const init: RequestInit = { method, headers: { accept: "application/json" } };
  if (body) {
    init.body = JSON.stringify(body);
    init.headers = { accept: "application/json", "content-type": "application/json" };
  }
  if (signal) init.signal = signal;
  try {
    return await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(UNREACHED, "");
  }
}

async function refusal(reply: Response): Promise<Refused> {
  try {
    const told = (await reply.json()) as { error?: { message?: string; code?: string | null } };
    return new Refused(reply.status, told.error?.message ?? "", told.error?.code ?? "");
  } catch {
    return new Refused(reply.status, "");
  }
}

/** One call. Throws Refused, with the status 0 where nobody was reached; an aborted one throws what fetch throws. */
export async function call<Reply>(method: Method, path: string, options: Call = {}): Promise<Reply> {
  const reply = await reached(path, method, options);
  if (!reply.ok) throw await refusal(reply);
  return (reply.status === 204 ? null : await reply.json()) as Reply;
}

const given = (signal?: AbortSignal): Call => (signal ? { signal } : {});

const at = (id: string): string => `/api/conversations/${encodeURIComponent(id)}`;

export const session = {
  look: () => call<Session>("GET", "/api/session"),
  enter: (key: string) => call<null>("POST", "/api/session", { body: { key } }),
  leave: () => call<null>("DELETE", "/api/session"),
};

export interface Listed {
  data: Summary[];
  has_more: boolean;
}

export const conversations = {
  list: (search: string, before: string, signal?: AbortSignal) =>
    call<Listed>("GET", `/api/conversations?${new URLSearchParams({ search, before, limit: "50" })}`, given(signal)),
  create: (id: string, title: string, settings: Settings, signal?: AbortSignal) =>
    call<Conversation>("POST", "/api/conversations", { body: { id, title, settings }, ...given(signal) }),
  read: (id: string, signal?: AbortSignal) => call<Conversation>("GET", at(id), given(signal)),
  change: (id: string, change: { title?: string; settings?: Settings; leaf?: string }) =>
    call<Omit<Conversation, "messages">>("PATCH", at(id), { body: change }),
  remove: (id: string) => call<{ id: string; deleted: true }>("DELETE", at(id)),
  ask: (id: string, ask: Ask, signal?: AbortSignal) =>
    call<Asked>("POST", `${at(id)}/answers`, { body: ask, ...given(signal) }),
  exported: (id: string, format: "markdown" | "json") => `${at(id)}/export?format=${format}`,
  watched: "/api/conversations/watch",
};

export const streams = {
  followed: (id: string) => `/v1/streams/${encodeURIComponent(id)}?as=ui&participate=1`,
  cancel: (id: string, signal?: AbortSignal) =>
    call<{ cancelled: boolean; state: string }>("POST", `/v1/streams/${encodeURIComponent(id)}/cancel`, given(signal)),
};

export const models = () => call<{ data: { id: string }[] }>("GET", "/v1/models");
