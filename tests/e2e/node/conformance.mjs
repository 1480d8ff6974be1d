// The conformance suite of the Durable Streams protocol, against the topics of the server at TOPICS_URL.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({ baseUrl: process.env.TOPICS_URL, longPollTimeoutMs: 20_000 })
