import assert from "node:assert/strict";
import { test } from "node:test";
import { plain, Spoken } from "../../page/src/model/spoken.ts";

test("a paragraph is told once, when it has ended", () => {
  const spoken = new Spoken();
  assert.equal(spoken.next("One. Two", false), "");
  assert.equal(spoken.next("One. Two.\n\nThr", false), "One. Two.");
  assert.equal(spoken.next("One. Two.\n\nThree", false), "");
  assert.equal(spoken.next("One. Two.\n\nThree", true), "Three");
  assert.equal(spoken.next("One. Two.\n\nThree", true), "");
});

test("a long paragraph is told by sentences, in Chinese too", () => {
  const english = `${"word ".repeat(60)}end. And then`;
  assert.match(new Spoken().next(english, false), /end\.$/);
  assert.equal(new Spoken().next(`${"字".repeat(250)}。然后`, false), `${"字".repeat(250)}。`);
});

test("however the text grows, all of it is told", () => {
  const text = "First **bold** one.\n\nSecond, with `code`.\n\n- a\n- b\n\nThe end";
  const spoken = new Spoken();
  const told = Array.from(text, (_, at) => spoken.next(text.slice(0, at + 1), at === text.length - 1));
  assert.equal(told.filter(Boolean).join(" "), "First bold one. Second, with code. a b The end");
});

test("the signs of Markdown are not read out", () => {
  assert.equal(plain("## Title\n\n> said\n\n```py\nx = 1\n```\n\n[a link](https://a.example)"), "Title said x = 1 a link");
  assert.equal(plain("| a | b |\n|---|---|\n| 1 | 2 |"), "a b 1 2");
});
