export { runAgent } from './agent.ts';
export { type AgentOptions, parseArguments } from './startup/arguments.ts';
