// Whose page it is: a session that is over leaves what was read and written where it is, for its owner alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "./window.ts";
import { Refused } from "../../page/src/headrace.ts";
import { admitted, isOver, session, signIn, Unkept } from "../../page/src/state/session.ts";

const ALICE = { protected: true, signed_in: true, owner: "alice", admin: false };

let reloads = 0;
Object.assign(location, { reload: () => (reloads += 1) });

/** Sign in as somebody; returns whether the page was loaded anew for it. */
async function signInAs(owner: string): Promise<boolean> {
  const before = reloads;
  serve(() => ({ ...ALICE, owner }));
  await signIn("a key");
  return reloads > before;
}

test("who signs in again finds the page as it was", async () => {
  session.value = ALICE;
  isOver(new Refused(401));
  assert.equal(admitted.value, false);
  assert.equal(await signInAs("alice"), false);
  assert.equal(admitted.value, true);
});

test("somebody else sees nothing of it", async () => {
  session.value = ALICE;
  isOver(new Refused(401));
  assert.equal(await signInAs("bob"), true);
  assert.equal(admitted.value, false);
});

test("a browser that keeps no session is told so, and the page stays", async () => {
  const before = reloads;
  for (const owner of [null, "alice"]) {
    session.value = { ...ALICE, signed_in: false, owner };
    serve(() => ({ ...ALICE, signed_in: false, owner: null }));
    await assert.rejects(signIn("a key"), Unkept);
  }
  assert.equal(reloads, before);
});

test("the first one to sign in needs no new page", async () => {
  session.value = { ...ALICE, signed_in: false, owner: null };
  assert.equal(await signInAs("alice"), false);
  assert.equal(admitted.value, true);
});
