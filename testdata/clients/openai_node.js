// Drives a running llmrun server with the unmodified openai package of npm and checks what comes back.
//
// usage: NODE_PATH=DIR/node_modules node openai_node.js BASE_URL KEY MODEL EMBEDDINGS
//
// BASE_URL ends in /v1; MODEL generates text, EMBEDDINGS makes vectors. Every check works with any model, whatever it writes.
// One line a check; exit status 1 when one fails.
const assert = require('node:assert/strict');
const OpenAI = require('openai');
const { VERSION } = require('openai/version');

const [baseURL, apiKey, model, embeddings] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: 'user', content: 'What is the capital of France?' }];
const chat = { model, messages, max_completion_tokens: 12, temperature: 0 };
const completion = { model, prompt: 'Once upon a time', max_tokens: 12, temperature: 0 };
const weather = {
  type: 'object', properties: { city: { type: 'string', enum: ['Paris', 'Rome'] } }, required: ['city'], additionalProperties: false,
};
const functionTool = { type: 'function', function: { name: 'weather', description: 'of a city', parameters: weather } };

async function all(stream) {
  const list = [];
  for await (const one of stream) list.push(one);
  return list;
}

const refused = (call, kind) => assert.rejects(call, (e) => e instanceof kind || assert.fail(`${e} is no ${kind.name}`));

const checks = {
  async models() {
    const names = (await all(await client.models.list())).map((m) => m.id);
    assert.ok(names.includes(model) && names.includes(embeddings), names);
    assert.equal((await client.models.retrieve(model)).id, model);
    await refused(client.models.retrieve('no-such-model'), OpenAI.NotFoundError);
  },

  async chat() {
    const answer = await client.chat.completions.create(chat);
    assert.equal(answer.object, 'chat.completion');
    assert.equal(typeof answer.choices[0].message.content, 'string');
    assert.ok(['stop', 'length'].includes(answer.choices[0].finish_reason));
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id.startsWith('req_'));
  },

  async chatStream() {
    const whole = (await client.chat.completions.create(chat)).choices[0];
    const chunks = await all(await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } }));
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''), whole.message.content);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0 && chunks.slice(0, -1).every((c) => c.usage === null));
    assert.equal(chunks.at(-2).choices[0].finish_reason, whole.finish_reason);
  },

  // The helper puts chunks together by rules of its own and complains of what does not fit.
  async chatStreamHelper() {
    const whole = (await client.chat.completions.create(chat)).choices[0];
    const runner = client.chat.completions.stream(chat);
    assert.equal(await runner.finalContent(), whole.message.content);
    assert.equal((await runner.finalChatCompletion()).choices[0].finish_reason, whole.finish_reason);
  },

  async chatLogprobs() {
    const answer = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 3, n: 2 });
    assert.deepEqual(answer.choices.map((c) => c.index), [0, 1]);
    assert.ok(answer.choices[0].logprobs.content.every((t) => t.top_logprobs.length === 3 && t.logprob <= 1e-4));
  },

  async chatLeftEarly() {
    const stream = await client.chat.completions.create({ ...chat, stream: true, max_completion_tokens: 64 });
    for await (const _ of stream) break;
    stream.controller.abort();
  },

  async tools() {
    const asked = { ...chat, max_completion_tokens: 60, tools: [functionTool], tool_choice: { type: 'function', function: { name: 'weather' } } };
    const { message, finish_reason } = (await client.chat.completions.create(asked)).choices[0];
    const [call] = message.tool_calls;
    assert.equal(call.function.name, 'weather');
    assert.ok(['Paris', 'Rome'].includes(JSON.parse(call.function.arguments).city), call.function.arguments);
    assert.ok(['tool_calls', 'stop'].includes(finish_reason), finish_reason);
    const runner = client.chat.completions.stream(asked);
    const streamed = (await runner.finalMessage()).tool_calls[0].function;
    assert.deepEqual({ name: streamed.name, arguments: streamed.arguments }, { name: call.function.name, arguments: call.function.arguments });
    const again = [...messages, message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }];
    assert.ok((await client.chat.completions.create({ ...chat, messages: again })).choices[0].message);
  },

  async jsonSchema() {
    const response_format = { type: 'json_schema', json_schema: { name: 'weather', strict: true, schema: weather } };
    const parsed = await client.chat.completions.parse({ ...chat, max_completion_tokens: 60, response_format });
    assert.ok(['Paris', 'Rome'].includes(JSON.parse(parsed.choices[0].message.content).city), parsed.choices[0].message.content);
  },

  async completions() {
    const whole = await client.completions.create(completion);
    assert.equal(whole.object, 'text_completion');
    const chunks = await all(await client.completions.create({ ...completion, stream: true }));
    assert.equal(chunks.map((c) => c.choices[0]?.text ?? '').join(''), whole.choices[0].text);
    const several = await client.completions.create({ ...completion, prompt: ['one', 'two'], n: 2, max_tokens: 2 });
    assert.deepEqual(several.choices.map((c) => c.index), [0, 1, 2, 3]);
    const scored = await client.completions.create({ ...completion, echo: true, max_tokens: 0, logprobs: 1 });
    assert.equal(scored.choices[0].logprobs.token_logprobs.length, scored.usage.prompt_tokens);
  },

  // The client asks for base64 by itself and decodes it; floats are asked for in words.
  async embeddings() {
    const input = ['one', 'two'];
    const bytes = await client.embeddings.create({ model: embeddings, input });
    const floats = await client.embeddings.create({ model: embeddings, input, encoding_format: 'float' });
    assert.deepEqual(bytes.data.map((d) => d.index), [0, 1]);
    bytes.data.forEach((d, i) => {
      assert.ok(d.embedding.length > 1 && d.embedding.length === floats.data[i].embedding.length);
      d.embedding.forEach((x, j) => assert.ok(Math.abs(x - floats.data[i].embedding[j]) < 1e-6));
    });
  },

  async responses() {
    const asked = { model, instructions: 'Be brief.', input: 'hello', max_output_tokens: 12, temperature: 0 };
    const whole = await client.responses.create(asked);
    assert.equal(whole.object, 'response');
    const events = await all(await client.responses.create({ ...asked, stream: true }));
    const text = events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('');
    assert.equal(text, whole.output_text);
    assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
    const final = await client.responses.stream(asked).finalResponse();
    assert.equal(final.output_text, text);
    const tool = { type: 'function', name: 'weather', parameters: weather, strict: true };
    const called = await client.responses.create({ ...asked, max_output_tokens: 60, tools: [tool], tool_choice: { type: 'function', name: 'weather' } });
    const call = called.output.find((o) => o.type === 'function_call');
    assert.ok(['Paris', 'Rome'].includes(JSON.parse(call.arguments).city), call.arguments);
    const next = [{ role: 'user', content: 'hello' }, ...called.output, { type: 'function_call_output', call_id: call.call_id, output: 'sunny' }];
    assert.ok((await client.responses.create({ ...asked, input: next })).output.length > 0);
    const format = { type: 'json_schema', name: 'weather', strict: true, schema: weather };
    const parsed = await client.responses.parse({ ...asked, max_output_tokens: 60, text: { format } });
    assert.ok(['Paris', 'Rome'].includes(JSON.parse(parsed.output_text).city), parsed.output_text);
  },

  async refusals() {
    await refused(client.chat.completions.create({ ...chat, temperature: 3 }), OpenAI.BadRequestError);
    await refused(client.chat.completions.create({ ...chat, no_such_field: 1 }), OpenAI.BadRequestError);
    await refused(client.chat.completions.create({ ...chat, model: 'no-such-model' }), OpenAI.NotFoundError);
    await refused(client.embeddings.create({ model, input: 'x' }), OpenAI.BadRequestError);
    const stranger = new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 });
    await refused(stranger.models.list(), OpenAI.AuthenticationError);
    const e = await client.chat.completions.create({ ...chat, temperature: 3 }).catch((e) => e);
    assert.equal(e.param, 'temperature');
    assert.equal(e.type, 'invalid_request_error');
  },

  async manyAtOnce() {
    const whole = (await client.chat.completions.create(chat)).choices[0].message.content;
    const one = async () => (await all(await client.chat.completions.create({ ...chat, stream: true }))).map((c) => c.choices[0]?.delta.content ?? '').join('');
    const texts = await Promise.all(Array.from({ length: 8 }, one));
    assert.deepEqual(new Set(texts), new Set([whole]));
  },
};

(async () => {
  let failures = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log('ok  ', name);
    } catch (e) {
      failures++;
      console.log('FAIL', name, e);
    }
  }
  console.log(`openai ${VERSION}: ${Object.keys(checks).length - failures} of ${Object.keys(checks).length} checks hold`);
  process.exit(failures ? 1 : 0);
})();
