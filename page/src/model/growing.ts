// An answer as it grows: the frames of the AI SDK's UI message stream, folded.
import type { State, Usage } from "../api.ts";

export interface Tool {
  id: string;
  name: string;
  arguments: string;
}

/** How the stream said that it ended. */
export interface Ending {
  state: State;
  reason: string;
}

/** The fields that we read of any frame; which of them are there depends on its type. */
interface Frame {
  type: string;
  delta?: string;
  toolCallId?: string;
  toolName?: string;
  inputTextDelta?: string;
  input?: unknown;
  finishReason?: string;
  errorText?: string;
  messageMetadata?: { usage?: { inputTokens: number; outputTokens: number; estimated?: boolean } };
}

export class Growing {
  text = "";
  reasoning = "";
  tools: Tool[] = [];
  usage: Usage | null = null;
  ending: Ending | null = null;
  pieces = 0;

  /** Take the data of one event. What is no frame, or of a kind that we do not show, changes nothing. */
  take(data: string): void {
    if (data === "[DONE]") return;
    const frame = parsed(data);
    if (frame) this.add(frame);
  }

  private add(frame: Frame): void {
    switch (frame.type) {
      case "text-delta":
        this.text += frame.delta ?? "";
        this.pieces += 1;
        return;
      case "reasoning-delta":
        this.reasoning += frame.delta ?? "";
        this.pieces += 1;
        return;
      case "finish":
        return this.finish(frame);
      case "abort":
        this.ending = { state: "cancelled", reason: "cancelled" };
        return;
      case "error":
        this.ending = { state: "failed", reason: "" };
        return;
    }
    if (frame.type.startsWith("tool-input-")) this.call(frame);
  }

  private call(frame: Frame): void {
    const id = frame.toolCallId ?? "";
    const known = this.tools.find((tool) => tool.id === id);
    const tool = known ?? { id, name: frame.toolName ?? "", arguments: "" };
    if (!known) this.tools.push(tool);
    if (frame.inputTextDelta) tool.arguments += frame.inputTextDelta;
    else if (frame.input !== undefined && !tool.arguments) tool.arguments = JSON.stringify(frame.input);
    this.pieces += 1;
  }

  private finish(frame: Frame): void {
    const usage = frame.messageMetadata?.usage;
    if (usage) this.usage = { input: usage.inputTokens, output: usage.outputTokens, exact: !usage.estimated };
    this.ending = { state: "completed", reason: frame.finishReason ?? "" };
  }
}

function parsed(data: string): Frame | null {
  try {
    const frame: unknown = JSON.parse(data);
    return typeof frame === "object" && frame !== null && "type" in frame ? (frame as Frame) : null;
  } catch {
    return null;
  }
}
