// The unmodified `openai` package: chat completions and responses.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { about, base, checkCall, checkUsage, checkWords, collect, key, model } from "./matrix.mjs";

const client = new OpenAI({ baseURL: base, apiKey: key, maxRetries: 0 });
const { hello, weather } = about.questions;
const described = { name: about.tool, description: about.about, parameters: about.arguments };
const tools = [{ type: "function", function: described }];
const flatTools = [{ type: "function", strict: true, ...described }];
const said = (words) => [
  { role: "system", content: "You are helpful." },
  { role: "user", content: words },
];

test("answer", async () => {
  const answer = await client.chat.completions.create({ model, messages: said(hello) });
  assert.ok(answer.model);
  checkWords(hello, answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, "stop");
  checkUsage(answer.usage.prompt_tokens, answer.usage.completion_tokens);
});

test("stream", async () => {
  const chunks = await collect(
    await client.chat.completions.create({
      model,
      messages: said(hello),
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const last = chunks.pop();
  checkWords(hello, chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""));
  assert.deepEqual(last.choices, []);
  checkUsage(last.usage.prompt_tokens, last.usage.completion_tokens);
});

test("tool and its result", async () => {
  const messages = said(weather);
  const first = await client.chat.completions.create({ model, messages, tools });
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const [call] = first.choices[0].message.tool_calls;
  checkCall(call.function.name, JSON.parse(call.function.arguments));
  const result = { role: "tool", tool_call_id: call.id, content: about.result };
  const second = await client.chat.completions.create({
    model,
    messages: [...messages, first.choices[0].message, result],
    tools,
  });
  checkWords(weather, second.choices[0].message.content);
});

test("tool and its result by the helper that runs tools, as streams", async () => {
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
  checkWords(weather, await runner.finalContent());
  assert.equal(asked.length, 1);
  checkCall(about.tool, asked[0]);
});

test("response", async () => {
  const answer = await client.responses.create({ model, input: hello });
  assert.equal(answer.status, "completed");
  checkWords(hello, answer.output_text);
  checkUsage(answer.usage.input_tokens, answer.usage.output_tokens);
});

test("stream of a response", async () => {
  const stream = client.responses.stream({ model, input: hello });
  const answer = await stream.finalResponse();
  checkWords(hello, answer.output_text);
  checkUsage(answer.usage.input_tokens, answer.usage.output_tokens);
});

test("tool of a response and its result, as streams", async () => {
  const input = [{ role: "user", content: weather }];
  const first = await client.responses.stream({ model, input, tools: flatTools }).finalResponse();
  const call = first.output.find((item) => item.type === "function_call");
  checkCall(call.name, JSON.parse(call.arguments));
  const result = { type: "function_call_output", call_id: call.call_id, output: about.result };
  const items = first.output.map(({ parsed_arguments: _, ...item }) => item);
  const second = await client.responses.create({
    model,
    input: [...input, ...items, result],
    tools: flatTools,
  });
  checkWords(weather, second.output_text);
});

test("refusals", async () => {
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

test("models", async () => {
  const listed = await collect(client.models.list());
  assert.ok(listed.some((one) => one.id === model));
  assert.equal((await client.models.retrieve(model)).id, model);
});
