export default { test: { include: ["conformance.mjs"], testTimeout: 30_000 } }
