// The unmodified `@anthropic-ai/sdk`: its base URL is the root.
import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { about, checkCall, checkUsage, checkWords, collect, key, model, root } from "./matrix.mjs";

const client = new Anthropic({ baseURL: root, apiKey: key, maxRetries: 0 });
const { hello, weather } = about.questions;
const tools = [{ name: about.tool, description: about.about, input_schema: about.arguments }];
const asked = (words) => ({
  model,
  max_tokens: 2000,
  system: "You are helpful.",
  messages: [{ role: "user", content: words }],
});

test("answer", async () => {
  const answer = await client.messages.create(asked(hello));
  assert.deepEqual([answer.type, answer.role], ["message", "assistant"]);
  assert.ok(answer.model);
  checkWords(hello, answer.content[0].text);
  assert.equal(answer.stop_reason, "end_turn");
  checkUsage(answer.usage.input_tokens, answer.usage.output_tokens);
});

test("stream", async () => {
  const events = await collect(await client.messages.create({ ...asked(hello), stream: true }));
  assert.equal(events[0].type, "message_start");
  assert.equal(events.at(-1).type, "message_stop");
});

test("stream helper", async () => {
  const answer = await client.messages.stream(asked(hello)).finalMessage();
  checkWords(hello, answer.content[0].text);
  checkUsage(answer.usage.input_tokens, answer.usage.output_tokens);
});

for (const streamed of [false, true]) {
  test(`tool and its result${streamed ? ", as streams" : ""}`, async () => {
    const ask = (body) =>
      streamed ? client.messages.stream(body).finalMessage() : client.messages.create(body);
    const question = { ...asked(weather), tools };
    const first = await ask(question);
    assert.equal(first.stop_reason, "tool_use");
    const call = first.content.find((block) => block.type === "tool_use");
    checkCall(call.name, call.input);
    const result = { type: "tool_result", tool_use_id: call.id, content: about.result };
    const second = await ask({
      ...question,
      messages: [
        ...question.messages,
        { role: "assistant", content: first.content },
        { role: "user", content: [result] },
      ],
    });
    checkWords(weather, second.content[0].text);
  });
}

test("count of tokens", async () => {
  const { max_tokens: _, ...counted } = asked(hello);
  assert.ok((await client.messages.countTokens(counted)).input_tokens > 0);
});

test("refusals", async () => {
  const stranger = client.withOptions({ apiKey: "sk-wrong" });
  for (const stream of [false, true]) {
    await assert.rejects(
      stranger.messages.create({ ...asked(hello), stream }),
      Anthropic.AuthenticationError,
    );
    await assert.rejects(
      client.messages.create({ ...asked(hello), model: "no/such:model", stream }),
      Anthropic.NotFoundError,
    );
  }
});
