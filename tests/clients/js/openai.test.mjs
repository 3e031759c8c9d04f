// The unmodified `openai` package: chat completions and responses.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { about, base, collect, each, key } from "./matrix.mjs";

const client = new OpenAI({ baseURL: base, apiKey: key, maxRetries: 0 });
const { hello, weather } = about.questions;
const described = { name: about.tool, description: about.about, parameters: about.arguments };
const tools = [{ type: "function", function: described }];
const flatTools = [{ type: "function", strict: true, ...described }];
const said = (words) => [
  { role: "system", content: "You are helpful." },
  { role: "user", content: words },
];

each("answer", async (model, check) => {
  const answer = await client.chat.completions.create({ model, messages: said(hello) });
  assert.ok(answer.model);
  check.words(hello, answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, "stop");
  check.usage(answer.usage.prompt_tokens, answer.usage.completion_tokens);
});

each("stream", async (model, check) => {
  const chunks = await collect(
    await client.chat.completions.create({
      model,
      messages: said(hello),
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const last = chunks.pop();
  check.words(hello, chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""));
  assert.deepEqual(last.choices, []);
  check.usage(last.usage.prompt_tokens, last.usage.completion_tokens);
});

each("tool and its result", async (model, check) => {
  const messages = said(weather);
  const first = await client.chat.completions.create({ model, messages, tools });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const [call] = first.choices[0].message.tool_calls;
  check.call(call.function.name, JSON.parse(call.function.arguments));
  const result = { role: "tool", tool_call_id: call.id, content: about.result };
  const second = await client.chat.completions.create({
    model,
    messages: [...messages, first.choices[0].message, result],
    tools,
  });
  check.words(weather, second.choices[0].message.content);
});

each("tool and its result by the helper that runs tools, as streams", async (model, check) => {
  const asked = [];
  const run = (given) => {
    asked.push(given);
    return about.result;
  };
  const runner = client.chat.completions.runTools({
    model,
    messages: said(weather),
    stream: true,
    tools: [{ type: "function", function: { ...described, parse: JSON.parse, function: run } }],
  });
  check.words(weather, await runner.finalContent());
  assert.equal(asked.length, 1);
  check.call(about.tool, asked[0]);
});

each("response", async (model, check) => {
  const answer = await client.responses.create({ model, input: hello });
  assert.equal(answer.status, "completed");
  check.words(hello, answer.output_text);
  check.usage(answer.usage.input_tokens, answer.usage.output_tokens);
});

each("stream of a response", async (model, check) => {
  const stream = client.responses.stream({ model, input: hello });
  const answer = await stream.finalResponse();
  check.words(hello, answer.output_text);
  check.usage(answer.usage.input_tokens, answer.usage.output_tokens);
});

each("tool of a response and its result, as streams", async (model, check) => {
  const input = [{ role: "user", content: weather }];
  const first = await client.responses.stream({ model, input, tools: flatTools }).finalResponse();
  const call = first.output.find((item) => item.type === "function_call");
  check.call(call.name, JSON.parse(call.arguments));
  const result = { type: "function_call_output", call_id: call.call_id, output: about.result };
  const items = first.output.map(({ parsed_arguments: _, ...item }) => item);
  const second = await client.responses.create({
    model,
    input: [...input, ...items, result],
    tools: flatTools,
  });
  check.words(weather, second.output_text);
});

each("refusals", async (model, check) => {
  const stranger = client.withOptions({ apiKey: "sk-wrong" });
  for (const stream of [false, true]) {
    await assert.rejects(
      stranger.chat.completions.create({ model, messages: said(hello), stream }),
      OpenAI.AuthenticationError,
    );
    await assert.rejects(
      client.chat.completions.create({ model: "no/such:model", messages: said(hello), stream }),
      OpenAI.NotFoundError,
    );
    await assert.rejects(
      client.responses.create({ model: "no/such:model", input: hello, stream }),
      OpenAI.NotFoundError,
    );
  }
});

each("models", async (model, check) => {
  const listed = await collect(client.models.list());
  assert.ok(listed.some((one) => one.id === model));
  assert.equal((await client.models.retrieve(model)).id, model);
});
