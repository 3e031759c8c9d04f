// The unmodified `@anthropic-ai/sdk`: its base URL is the root.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { about, collect, each, key, root } from "./matrix.mjs";

const client = new Anthropic({ baseURL: root, apiKey: key, maxRetries: 0 });
const { hello, weather } = about.questions;
const tools = [{ name: about.tool, description: about.about, input_schema: about.arguments }];
const asked = (model, words) => ({
  model,
  max_tokens: 2000,
  system: "You are helpful.",
  messages: [{ role: "user", content: words }],
});

each("answer", async (model, check) => {
  const answer = await client.messages.create(asked(model, hello));
  assert.deepEqual([answer.type, answer.role], ["message", "assistant"]);
  assert.ok(answer.model);
  check.words(hello, answer.content[0].text);
  assert.equal(answer.stop_reason, "end_turn");
  check.usage(answer.usage.input_tokens, answer.usage.output_tokens);
});

each("stream", async (model, check) => {
  const events = await collect(await client.messages.create({ ...asked(model, hello), stream: true }));
  assert.equal(events[0].type, "message_start");
  assert.equal(events.at(-1).type, "message_stop");
});

each("stream helper", async (model, check) => {
  const answer = await client.messages.stream(asked(model, hello)).finalMessage();
  check.words(hello, answer.content[0].text);
  check.usage(answer.usage.input_tokens, answer.usage.output_tokens);
});

for (const streamed of [false, true]) {
  each(`tool and its result${streamed ? ", as streams" : ""}`, async (model, check) => {
    const ask = (body) =>
      streamed ? client.messages.stream(body).finalMessage() : client.messages.create(body);
    const question = { ...asked(model, weather), tools };
    const first = await ask(question);
    assert.equal(first.stop_reason, "tool_use");
    const call = first.content.find((block) => block.type === "tool_use");
    check.call(call.name, call.input);
    const result = { type: "tool_result", tool_use_id: call.id, content: about.result };
    const second = await ask({
      ...question,
      messages: [
        ...question.messages,
        { role: "assistant", content: first.content },
        { role: "user", content: [result] },
      ],
    });
    check.words(weather, second.content[0].text);
  });
}

each("count of tokens", async (model, check) => {
  const { max_tokens: _, ...counted } = asked(model, hello);
  assert.ok((await client.messages.countTokens(counted)).input_tokens > 0);
});

each("refusals", async (model, check) => {
  const stranger = client.withOptions({ apiKey: "sk-wrong" });
  for (const stream of [false, true]) {
    await assert.rejects(
      stranger.messages.create({ ...asked(model, hello), stream }),
      Anthropic.AuthenticationError,
    );
    await assert.rejects(
      client.messages.create({ ...asked(model, hello), model: "no/such:model", stream }),
      Anthropic.NotFoundError,
    );
  }
});
