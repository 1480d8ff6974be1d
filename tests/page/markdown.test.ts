// The pure parts of the rendering: addresses, units of a text that grows, and the mended end of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostOf, permitted, tells } from "../../page/src/markdown/addresses.ts";
import { mend } from "../../page/src/markdown/mend.ts";
import { markdown } from "../../page/src/markdown/parser.ts";
import { units } from "../../page/src/markdown/units.ts";

const sources = (text: string, done = false): [string[], string[]] => {
  const { finished, open } = units(text, false, done);
  return [finished.map(({ source }) => source), open.map(({ source }) => source)];
};

test("a block has ended when the next one begins on a whole line", () => {
  assert.deepEqual(sources("a\n"), [[], ["a\n"]]);
  assert.deepEqual(sources("a\n\nb"), [[], ["a\n\n", "b"]]);
  assert.deepEqual(sources("a\n\nb\n"), [["a\n\n"], ["b\n"]]);
  assert.deepEqual(sources("a\n\nb", true), [["a\n\n", "b"], []]);
  assert.deepEqual(sources("a\n#"), [[], ["a\n", "#"]]);
  assert.deepEqual(sources("a\n#b"), [[], ["a\n#b"]]);
});

test("the items of a list are units, and know whether they begin it", () => {
  const { finished, open } = units("- a\n\n  more\n- b\n  - c\n1. d\n", false, false);
  assert.deepEqual(finished, [
    { source: "- a\n\n  more\n", item: true, joins: false },
    { source: "- b\n  - c\n", item: true, joins: true },
  ]);
  assert.deepEqual(open, [{ source: "1. d\n", item: true, joins: false }]);
  assert.deepEqual(units("- c\n- d\n", true, true).finished.map(({ joins }) => joins), [true, true]);
});

test("what defines links belongs to a unit, and nothing of a text is lost", () => {
  const text = "[a]: https://a.example\n\n[a]\n\n```py\n- x\n\n# y\n```\n\n> q\nlazy\n\n| a |\n|---|\n| 1 |\n\n---\n";
  for (let end = 0; end <= text.length; end++) {
    const [finished, open] = sources(text.slice(0, end));
    const all = [...finished, ...open].join("");
    assert.ok(all === text.slice(0, end) || !text.slice(0, end).trim() || /^\[a\]:?[^\n]*\n*$/.test(text.slice(0, end)), `${end}`);
    assert.ok(sources(text)[0].join("").startsWith(finished.join("")), "what is finished stays so");
  }
});

test("units that are rendered one by one are the text that is rendered whole", () => {
  const blocks = ["# T\n", "p *q*\n", "```js\nx\n\ny\n```\n", "> a\n> b\n", "| a | b |\n|:-:|--:|\n| 1 | 2 |\n", "***\n", "    code\n"];
  const text = blocks.join("\n");
  const apart = units(text, false, true).finished.map(({ source }) => markdown.render(source)).join("");
  assert.equal(apart, markdown.render(text));
});

const MENDED: [string, string][] = [
  ["some **bold te", "some **bold te**"],
  ["some **bold te*", "some **bold te**"],
  ["some **bold**", "some **bold**"],
  ["some **", "some"],
  ["some *it", "some *it*"],
  ["*a **b", "*a **b***"],
  ["***both", "***both***"],
  ["**重要：", "**重要：**"],
  ["这是**重要", "这是**重要**"],
  ["~~gone", "~~gone~~"],
  ["_em", "_em_"],
  ["snake_case", "snake_case"],
  ["2*3 is 6", "2*3 is 6"],
  ["2 * 3", "2 * 3"],
  ["\\*no", "\\*no"],
  ["use `co", "use `co`"],
  ["use `", "use"],
  ["use ``a`b", "use ``a`b``"],
  ["**a `b", "**a `b`**"],
  ["`*` and", "`*` and"],
  ["see [the do", "see the do"],
  ["see [docs](https://exa", "see docs"],
  ["see [docs](https://a.example/x) now", "see [docs](https://a.example/x) now"],
  ["a ![pic](https://can", "a"],
  ["a ![pi", "a"],
  ["para\n-", "para\n"],
  ["para\n#", "para\n"],
  ["para\n``", "para\n"],
  ["- a\n-", "- a\n"],
  ["```py\n**x", "```py\n**x"],
  ["```py\nx\n```\n**y", "```py\nx\n```\n**y**"],
  ["see [docs]", "see docs"],
  ["a[0]", "a[0]"],
  ["| a | b", "| a | b|\n|---|---|"],
  ["| a | b |", "| a | b |\n|---|---|"],
  ["| a | b |\n|--", "| a | b |\n|---|---|"],
  ["| a | b |\n|--|--|\n| 1 |", "| a | b |\n|--|--|\n| 1 |"],
];

for (const [text, expected] of MENDED)
  test(`the end of ${JSON.stringify(text)} is mended`, () => assert.equal(mend(text).trimEnd(), expected.trimEnd()));

test("Chinese is bold beside its own punctuation", () => {
  assert.equal(markdown.render("**重要：**这是测试。"), "<p><strong>重要：</strong>这是测试。</p>\n");
});

test("links go to the web and to mailboxes", () => {
  for (const good of ["https://a.example/x", "HTTP://a.example", "mailto:a@b.example"]) assert.ok(permitted(good), good);
  for (const bad of ["javascript:alert(1)", "data:text/html,x", "/v1/x", "//a.example", "vbscript:x", "file:///x", "blob:x", "x", ""])
    assert.ok(!permitted(bad), bad);
});

test("a host is told where the text does not tell it", () => {
  assert.equal(hostOf("https://xn--80ak6aa92e.com/x"), "xn--80ak6aa92e.com");
  assert.equal(hostOf("https://bank.example@evil.example/"), "evil.example");
  assert.equal(hostOf("mailto:a@b.example?subject=x@y"), "b.example");
  assert.ok(tells("https://a.example/x", "https://a.example/x"));
  assert.ok(tells("a.example", "https://a.example/"));
  assert.ok(!tells("https://a.example.evil.example", "https://a.example/"));
  assert.ok(!tells("https://bank.example/a.example", "https://a.example/"));
  assert.ok(!tells("here", "https://a.example/"));
});
