// The checklist's own stack, each package as its README shows it.
import { randomUUID } from "node:crypto";

import cors from "cors";
import express from "express";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import Joi from "joi";

const [limit, window] = process.env.QUOTA.split("/").map(Number);
const newUser = Joi.object({
  username: Joi.string().alphanum().min(3).max(30).required(),
  email: Joi.string().email().max(254).required(),
});

const app = express();
app.use(helmet());
app.use(rateLimit({ windowMs: window * 1000, limit, standardHeaders: "draft-8", legacyHeaders: false }));
app.use(cors({ origin: ["https://app.example.com"], credentials: true }));
app.use(express.json({ limit: "1mb" }));

app.get("/ping", (request, response) => {
  response.json({ message: "pong" });
});
app.post("/users", (request, response) => {
  const { error, value } = newUser.validate(request.body);
  if (error) return response.status(422).json({ error: "Invalid input" });
  response.status(201).json({ username: value.username, email: value.email, id: randomUUID() });
});
app.get("/fail", () => {
  throw new Error("inside-canary");
});
app.get("/cookie", (request, response) => {
  response.cookie("session", "x", { httpOnly: true, secure: true, sameSite: "strict" });
  response.json({ message: "set" });
});
app.use((error, request, response, next) => {
  response.status(error.status ?? 500).json({ error: "Something went wrong" });
});

app.listen(Number(process.env.PORT), "127.0.0.1");
