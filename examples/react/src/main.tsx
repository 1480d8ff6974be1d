import { createRoot } from "react-dom/client";

import { Chat } from "./Chat";

const asked = new URLSearchParams(location.search);

createRoot(document.getElementById("root")!).render(
  <Chat
    server={asked.get("server") ?? "http://localhost:8003"}
    model={asked.get("model") ?? undefined}
    silence={Number(asked.get("silence") ?? 30_000)}
  />,
);
