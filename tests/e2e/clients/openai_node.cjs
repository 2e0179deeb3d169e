// The official client for Node. `node openai_node.cjs URL BUSY CASE...` ends with 0 if each case holds.
"use strict";
const assert = require("node:assert/strict");
const OpenAI = require("openai");

const [url, busy, ...names] = process.argv.slice(2);
const model = "smollm2";
const messages = [{ role: "user", content: "What is the capital of France? Answer in one sentence." }];
const asked = { model, messages, temperature: 0, max_tokens: 64 };
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const schema = {
  type: "object",
  properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer", minimum: 0, maximum: 120 } },
  required: ["name", "age"],
  additionalProperties: false,
};

const cases = {
  async chat() {
    const reply = await client.chat.completions.create(asked);
    assert.match(reply.choices[0].message.content, /Paris/);
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
    assert.ok(reply._request_id);
  },
  async stream() {
    const whole = await client.chat.completions.create(asked);
    const stream = await client.chat.completions.create({
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let last;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      last = chunk;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens);
  },
  async abort() {
    const stream = await client.completions.create({
      model,
      prompt: "a",
      stream: true,
      max_tokens: 4000,
    });
    for await (const chunk of stream) {
      assert.equal(chunk.object, "text_completion");
      break; // ends the request
    }
    await new Promise((wake) => setTimeout(wake, 500));
    const load = await (await fetch(`${url}/load`)).json();
    assert.equal(load.server_load, 0);
  },
  async schema() {
    const format = { type: "json_schema", json_schema: { name: "person", schema, strict: true } };
    const reply = await client.chat.completions.create({
      ...asked,
      messages: [{ role: "user", content: "Describe a person." }],
      response_format: format,
    });
    const found = JSON.parse(reply.choices[0].message.content);
    assert.deepEqual(Object.keys(found), ["name", "age"]);
    assert.ok(found.name.length <= 20 && found.age >= 0 && found.age <= 120);
  },
  async logprobs() {
    const reply = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 2 });
    const content = reply.choices[0].logprobs.content;
    assert.equal(content.length, reply.usage.completion_tokens);
    for (const entry of content) {
      assert.ok(entry.logprob <= 0);
      assert.equal(entry.top_logprobs.length, 2);
    }
  },
  async responses() {
    const first = await client.responses.create({ model, input: messages, temperature: 0 });
    assert.match(first.output_text, /Paris/);
    const kept = await client.responses.retrieve(first.id);
    assert.equal(kept.output_text ?? kept.output[0].content[0].text, first.output_text);
    const kinds = [];
    const stream = await client.responses.create({ model, input: messages, temperature: 0, stream: true });
    for await (const event of stream) kinds.push(event.type);
    assert.equal(kinds[0], "response.created");
    assert.equal(kinds.at(-1), "response.completed");
  },
  async embeddings() {
    await assert.rejects(client.embeddings.create({ model, input: "a" }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.code, "unsupported_model");
      return true;
    });
  },
  async errors() {
    const wrong = [
      [{ temperature: 9 }, OpenAI.BadRequestError, "invalid_request"],
      [{ max_tokens: 10 ** 6 }, OpenAI.BadRequestError, "context_length_exceeded"],
      [{ model: "other" }, OpenAI.NotFoundError, "model_not_found"],
    ];
    for (const [extra, kind, code] of wrong) {
      await assert.rejects(client.chat.completions.create({ ...asked, ...extra }), (error) => {
        assert.ok(error instanceof kind);
        assert.equal(error.code, code);
        return true;
      });
    }
  },
  async retries() {
    const long = { model: "tiny", prompt: "a", max_tokens: 200, ignore_eos: true };
    const ask = (maxRetries) => {
      const one = new OpenAI({ baseURL: `${busy}/v1`, apiKey: "none", maxRetries });
      return Promise.allSettled(Array.from({ length: 6 }, () => one.completions.create(long)));
    };
    const refused = (await ask(0)).filter((result) => result.status === "rejected");
    assert.ok(refused.length > 0);
    assert.ok(refused.every(({ reason }) => reason instanceof OpenAI.RateLimitError));
    assert.ok((await ask(20)).every((result) => result.status === "fulfilled"));
  },
};

(async () => {
  for (const name of names) {
    await cases[name]();
    console.log(name);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
