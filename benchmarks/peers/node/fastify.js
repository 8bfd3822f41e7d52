// Fastify with its own plugins, validation and serialisation by JSON schema as its documentation advises.
import { randomUUID } from "node:crypto";

import cors from "@fastify/cors";
import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import Fastify from "fastify";

const [limit, window] = process.env.QUOTA.split("/").map(Number);
const user = {
  type: "object",
  required: ["username", "email"],
  additionalProperties: false,
  properties: {
    username: { type: "string", minLength: 3, maxLength: 30, pattern: "^[A-Za-z0-9]+$" },
    email: { type: "string", maxLength: 254, format: "email" },
  },
};
const created = { type: "object", properties: { ...user.properties, id: { type: "string" } } };
const message = { type: "object", properties: { message: { type: "string" } } };

// By default unknown fields are dropped in silence and types are juggled: the job is to refuse both.
const app = Fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: false } } });
await app.register(helmet);
await app.register(rateLimit, { max: limit, timeWindow: window * 1000 });
await app.register(cors, { origin: ["https://app.example.com"], credentials: true });

app.setErrorHandler((error, request, reply) => {
  const status = error.validation ? 422 : (error.statusCode ?? 500);
  reply.code(status).send({ error: status < 500 ? "Refused" : "Something went wrong" });
});
app.get("/ping", { schema: { response: { 200: message } } }, async () => ({ message: "pong" }));
app.post("/users", { schema: { body: user, response: { 201: created } } }, async (request, reply) => {
  reply.code(201);
  return { username: request.body.username, email: request.body.email, id: randomUUID() };
});
app.get("/fail", async () => {
  throw new Error("inside-canary");
});
app.get("/cookie", async (request, reply) => {
  reply.header("set-cookie", "session=x; HttpOnly; Secure; SameSite=Strict");
  return { message: "set" };
});

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
