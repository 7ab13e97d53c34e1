// The order desk: one page, no framework, no build step. All it knows of the world is the API of config.js:
// window.SHOP = {api: "https://…/P", key: "the API key"}. What comes from the API is only ever set as text.
"use strict";

const $ = (id) => document.getElementById(id);
const state = { customer: null, next: null, invoice: null, orderKey: null };

class ApiError extends Error {
  constructor(status, body) {
    super(body.message || `The API answered ${status}.`);
    this.status = status;
    this.field = body.field || "";
  }
}

async function api(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(SHOP.api + path, {
      method,
      headers: { "x-api-key": SHOP.key, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    // The browser does not say more to a page: no network, or an answer without the CORS headers.
    throw new ApiError(0, { message: "The API cannot be reached. Try again." });
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.status === 429) throw new ApiError(429, { message: "Too many requests at once. Wait a moment, then try again." });
  if (!answer.ok) throw new ApiError(answer.status, content);
  return content;
}

const at = (...parts) => "/" + parts.map(encodeURIComponent).join("/");
const money = (text) => text.replace(/\B(?=(\d{3})+(?!\d))(?<!\..*)/g, ",");
const when = (text) => text.replace("T", " ").slice(0, 16);

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function say(text, good = false) {
  $("status").textContent = text;
  $("status").className = good ? "good" : "";
}

// One thing at a time: while a request is under way its buttons rest, so that a double click orders once.
async function busy(buttons, work) {
  buttons.forEach((button) => (button.disabled = true));
  try {
    return await work();
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

// The customer

async function find(id) {
  $("find-error").textContent = "";
  $("customer-id").removeAttribute("aria-invalid");
  say("Looking …");
  try {
    const [customer, page] = await Promise.all([api("GET", at("customers", id)), api("GET", at("customers", id, "invoices"))]);
    state.customer = customer;
    $("customer").hidden = $("order").hidden = false;
    $("invoice").hidden = true;
    showCustomer(customer);
    $("invoices").replaceChildren();
    showInvoices(page);
    if (!$("order-lines").children.length) addLine();
    say(`Customer ${customer.CustomerID} has ${customer.Invoices} ${customer.Invoices === 1 ? "invoice" : "invoices"}.`);
    history.replaceState(null, "", "?customer=" + encodeURIComponent(id));
  } catch (error) {
    say("");
    $("find-error").textContent = error.message;
    $("customer-id").setAttribute("aria-invalid", "true");
    $("customer-id").focus();
  }
}

function showCustomer(customer) {
  $("customer-title").textContent = `Customer ${customer.CustomerID}`;
  const facts = { Country: customer.Country, Invoices: customer.Invoices, Items: money(String(customer.Quantity)), Revenue: money(customer.Revenue) };
  const shown = Object.entries(facts).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", String(value)));
    return pair;
  });
  $("customer-facts").replaceChildren(...shown);
}

function showInvoices(page) {
  for (const invoice of page.Invoices) {
    const row = element("tr", "", { "data-invoice": invoice.InvoiceNo });
    const name = element("td");
    const open = element("button", invoice.InvoiceNo, { class: "row", type: "button" });
    open.addEventListener("click", () => openInvoice(invoice.InvoiceNo));
    name.append(open);
    if (invoice.CancelledBy) name.append(element("span", "cancelled", { class: "badge" }));
    row.append(name, element("td", when(invoice.InvoiceDate).slice(0, 10), { class: "date" }), element("td", invoice.Lines, { class: "number" }), element("td", money(invoice.Revenue), { class: "number" }));
    $("invoices").append(row);
  }
  state.next = page.Next || null;
  $("more").hidden = !state.next;
}

async function reload() {
  const id = state.customer.CustomerID;
  state.customer = await api("GET", at("customers", id));
  showCustomer(state.customer);
  const page = await api("GET", at("customers", id, "invoices"));
  $("invoices").replaceChildren();
  showInvoices(page);
}

// An invoice

async function openInvoice(number, quietly = false) {
  try {
    const invoice = (state.invoice = await api("GET", at("invoices", number)));
    $("invoice").hidden = false;
    $("invoice-title").textContent = `Invoice ${invoice.InvoiceNo}`;
    $("invoice-note").textContent = `${when(invoice.InvoiceDate)} · ${invoice.Lines} ${invoice.Lines === 1 ? "line" : "lines"} · ${money(invoice.Revenue)}` + (invoice.CancelledBy ? ` · cancelled by ${invoice.CancelledBy}` : "");
    const rows = invoice.Items.map((line) => {
      const row = element("tr");
      const product = element("td", line.Description || "(no description)");
      product.append(element("small", line.StockCode));
      row.append(product, element("td", line.Quantity, { class: "number" }), element("td", money(line.UnitPrice), { class: "number" }));
      return row;
    });
    $("lines").replaceChildren(...rows);
    const final = Boolean(invoice.CancelledBy) || invoice.InvoiceNo.startsWith("C");
    $("cancel").hidden = final;
    $("again").hidden = invoice.InvoiceNo.startsWith("C");
    for (const row of $("invoices").children) row.toggleAttribute("aria-current", row.dataset.invoice === number);
    if (!quietly) $("invoice-title").focus();
  } catch (error) {
    say(error.message);
  }
}

async function cancelInvoice() {
  const number = state.invoice.InvoiceNo;
  $("sure-title").textContent = `Cancel invoice ${number}?`;
  $("sure").returnValue = "no";
  $("sure").showModal();
  await new Promise((resolve) => $("sure").addEventListener("close", resolve, { once: true }));
  if ($("sure").returnValue !== "yes") return;
  await busy([$("cancel")], async () => {
    try {
      const made = await api("PUT", at("invoices", number, "cancellation"));
      say(`Invoice ${number} is cancelled by ${made.InvoiceNo}.`, true);
    } catch (error) {
      say(error.message);
      if (error.status !== 409) return;
    }
    await reload();
    await openInvoice(number, true);
  });
}

// An order

function addLine(code = "", quantity = 1) {
  const line = $("order-line").content.firstElementChild.cloneNode(true);
  const [codeInput, quantityInput] = line.querySelectorAll("input");
  codeInput.value = code;
  quantityInput.value = quantity;
  line.querySelector(".remove").addEventListener("click", () => {
    line.remove();
    if (!$("order-lines").children.length) addLine();
  });
  codeInput.addEventListener("change", () => look(line));
  $("order-lines").append(line);
  if (code) look(line);
  return codeInput;
}

// What the code means, what it costs and how much there is.
async function look(line) {
  const code = line.querySelector("[name=StockCode]").value.trim();
  const told = line.querySelector(".product");
  told.textContent = "";
  if (!code) return;
  try {
    const product = await api("GET", at("products", code));
    told.textContent = `${product.Description || "(no description)"} · ${money(product.UnitPrice)} each · ${product.Quantity} in stock`;
  } catch (error) {
    told.textContent = error.message;
  }
}

// A key for each order, kept until the order is answered: a second click, or a try after a lost answer, is the same order.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function placeOrder(event) {
  event.preventDefault();
  $("order-error").textContent = "";
  const lines = [...$("order-lines").children];
  lines.forEach((line) => line.querySelectorAll("input").forEach((input) => input.removeAttribute("aria-invalid")));
  const order = {
    CustomerID: state.customer.CustomerID,
    Lines: lines.map((line) => ({
      StockCode: line.querySelector("[name=StockCode]").value.trim(),
      Quantity: line.querySelector("[name=Quantity]").valueAsNumber,
    })),
  };
  await busy([...$("order-form").querySelectorAll("button")], async () => {
    try {
      state.orderKey ??= newKey();
      const made = await api("POST", "/invoices", order, { "Idempotency-Key": state.orderKey });
      state.orderKey = null;
      $("order-lines").replaceChildren();
      addLine();
      await reload();
      await openInvoice(made.InvoiceNo, true);
      say(`Order placed: invoice ${made.InvoiceNo}, ${money(made.Revenue)}.`, true);
    } catch (error) {
      if (error.status >= 400 && error.status < 500 && error.status !== 429) state.orderKey = null;
      $("order-error").textContent = error.message;
      blame(lines, error.field);
    }
  });
}

// The API names the field that is wrong: "Lines[1].Quantity".
function blame(lines, field) {
  const found = /^Lines\[(\d+)\]\.?(\w*)/.exec(field);
  if (!found || !lines[found[1]]) return;
  const input = lines[found[1]].querySelector(`[name=${found[2] || "StockCode"}]`);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", "order-error");
  input.focus();
}

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  busy([event.submitter].filter(Boolean), () => find($("customer-id").value.trim()));
});
$("more").addEventListener("click", () =>
  busy([$("more")], async () => {
    try {
      showInvoices(await api("GET", at("customers", state.customer.CustomerID, "invoices") + "?next=" + encodeURIComponent(state.next)));
    } catch (error) {
      say(error.message);
    }
  }),
);
$("cancel").addEventListener("click", cancelInvoice);
$("again").addEventListener("click", () => {
  const wanted = new Map();
  for (const line of state.invoice.Items) wanted.set(line.StockCode, (wanted.get(line.StockCode) || 0) + Math.max(1, line.Quantity));
  $("order-lines").replaceChildren();
  for (const [code, quantity] of [...wanted].slice(0, 48)) addLine(code, quantity);
  $("order-lines").querySelector("input").focus();
});
$("add").addEventListener("click", () => addLine().focus());
$("order-form").addEventListener("submit", placeOrder);
$("order-form").addEventListener("input", () => (state.orderKey = null)); // another order, so another key

const asked = new URLSearchParams(location.search).get("customer");
if (asked) {
  $("customer-id").value = asked;
  find(asked);
}
