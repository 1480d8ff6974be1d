import { type FormEvent, useEffect, useRef, useState } from "react";

import { Answer, Refused, type Message } from "./answer";

interface Props {
  /** Where Headrace is. */
  server: string;
  model?: string;
  /** Milliseconds without an event after which an answer is given up. */
  silence?: number;
}

/** A chat: what was said, the answer that is being written, and a button that stops it. */
export function Chat({ server, model, silence = 30_000 }: Props) {
  const [messages, setMessages] = useState<Message[]>([]);
  const [growing, setGrowing] = useState<string | null>(null);
  const [state, setState] = useState("");
  const running = useRef<Answer | null>(null);

  useEffect(() => () => running.current?.leave(), []);

  async function ask(question: string) {
    const asked: Message[] = [...messages, { role: "user", content: question }];
    const answer = (running.current = new Answer(server, { messages: asked, model }, silence));
    let content = "";
    setMessages(asked);
    setGrowing(content);
    setState("answering");
    try {
      for await (const { name, data } of answer.events()) {
        if (name === "token") setGrowing((content += data.token));
        if (name === "done") setState(data.finish_reason);
        if (name === "error") setState(data.message);
        if (name === "cancelled") setState("stopped");
      }
    } catch (error) {
      if (!(error instanceof Refused)) return; // this component has gone
      setState(error.message);
      void answer.stop().catch(() => {}); // nobody waits for it any more
    }
    if (content) setMessages([...asked, { role: "assistant", content }]);
    setGrowing(null);
  }

  function stop() {
    running.current?.stop().catch(() => setState("It could not be stopped. Try again."));
  }

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const question = String(new FormData(event.currentTarget).get("question")).trim();
    if (!question || growing !== null) return;
    event.currentTarget.reset();
    void ask(question);
  }

  return (
    <main>
      {messages.map(({ role, content }, index) => (
        <p key={index} className={`message ${role}`}>
          {content}
        </p>
      ))}
      {growing !== null && (
        <p className="message assistant" aria-busy="true">
          {growing}
          <span className="cursor">▍</span>
        </p>
      )}
      <form onSubmit={submit}>
        <input name="question" aria-label="Question" size={40} autoComplete="off" />
        <button disabled={growing !== null}>Ask</button>
        <button type="button" disabled={growing === null} onClick={stop}>
          Stop
        </button>
      </form>
      <p id="state" role="status">
        {state}
      </p>
    </main>
  );
}
