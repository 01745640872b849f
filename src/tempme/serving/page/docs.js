// The OpenAPI document, to be read.

import { h } from "./dom.js";

const main = document.getElementById("main");

async function start() {
  const response = await fetch("openapi.json");
  if (!response.ok) {
    main.replaceChildren(h("h1", {}, "HTTP"), h("p.error-text", { role: "alert" }, (await response.json()).detail));
    return;
  }
  const api = await response.json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, about] of Object.entries(methods)) {
      if (method === "head") continue;
      const tag = about.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), operation(path, method, about)]);
    }
  }
  main.replaceChildren(
    h("h1", {}, `${api.info.title} ${api.info.version} over HTTP`),
    ...api.info.description.split("\n\n").map((text) => h("p", {}, code(text))),
    h("p", {}, h("a", { href: "openapi.json" }, "openapi.json"), ` · OpenAPI ${api.openapi} · `, h("a", { href: "./" }, "the page")),
    ...[...groups].map(([tag, all]) => h("section", {}, h("h2", {}, tag), all)),
    h("section", {}, h("h2", {}, "Values"), Object.entries(api.components.schemas).map(([name, schema]) => value(name, schema))));
}

function operation(path, method, about) {
  const [first, ...rest] = (about.description ?? "").split("\n\n");
  const body = Object.entries(about.requestBody?.content ?? {});
  const answer = Object.entries(about.responses?.["200"]?.content ?? about.responses?.["202"]?.content ?? {});
  return h("details.operation", {},
    h("summary", {}, h(`b.method.${method}`, {}, method.toUpperCase()), h("code", {}, path), h("span.quiet", {}, code(first))),
    ...rest.map((text) => h("p", {}, code(text))),
    about.parameters?.length ? table(about.parameters.map((p) => [p.name, p.in, kind(p.schema), p.description ?? p.schema?.description ?? ""])) : null,
    ...body.map(([type, { schema, example }]) => h("div", {}, h("p", {}, h("strong", {}, "Body "), type, " ", ...kind(schema)),
      example ? h("pre", {}, `curl -X ${method.toUpperCase()} ${location.origin}${path} \\\n  -H 'Content-Type: ${type}' -d '${JSON.stringify(example)}'`) : null)),
    h("p", {}, h("strong", {}, "Answer "), answer.map(([type, { schema }]) => [`${type} `, ...kind(schema)])));
}

function value(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([field, s]) => [
    field, (schema.required ?? []).includes(field) ? "always" : "", kind(s), s.description ?? ""]);
  return h("details.operation", { id: name }, h("summary", {}, h("code", {}, name), h("span.quiet", {}, code(schema.description ?? ""))), table(rows));
}

/** A schema in a word or two; named ones are links. */
function kind(schema) {
  if (!schema) return [""];
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return [h("a", { href: `#${name}` }, name)];
  }
  if (schema.anyOf) return schema.anyOf.flatMap((one, place) => (place ? [" or ", ...kind(one)] : kind(one)));
  if (schema.enum) return [schema.enum.join(" | ")];
  if (schema.type === "array") return ["list of ", ...kind(schema.items)];
  const limits = [schema.minimum !== undefined ? `from ${schema.minimum}` : "", schema.maximum !== undefined ? `to ${schema.maximum}` : "",
    schema.maxLength !== undefined ? `at most ${schema.maxLength} letters` : "", schema.default !== undefined && schema.default !== null ? `default ${JSON.stringify(schema.default)}` : ""];
  return [[schema.type ?? "anything", ...limits.filter(Boolean)].join(", ")];
}

const table = (rows) => h("div.table", { tabindex: "0", role: "region", "aria-label": "Fields" }, h("table", {}, h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, place) => (place ? h("td", {}, cell) : h("th", { scope: "row" }, h("code", {}, cell)))))))));

/** `words` in a text as code. */
function code(text) {
  return h("span", {}, text.split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part)));
}

start();
