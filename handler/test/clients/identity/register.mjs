// Lets `@azure/identity` be the stand-in beside this file: the real one signs in at
// Entra ID, which no test does.
import { register } from "node:module";

const standIn = JSON.stringify(new URL("identity.mjs", import.meta.url).href);
register("data:text/javascript," + encodeURIComponent(`export const resolve = (name, context, next) =>
  name === "@azure/identity" ? { url: ${standIn}, shortCircuit: true } : next(name, context);`));
