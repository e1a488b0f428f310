// What both pages share: requests with the token, and the model's name.

const TOKEN = "memefuse-token";

export const $ = (id) => document.getElementById(id);

export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

// Like fetch, with the token; asks for one if the service wants it. Throws an Error with the
// service's own words if it refuses.
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    if (response.status === 401) {
      await askForToken(token);
      continue;
    }
    const body = await response.json().catch(() => ({}));
    const error = new Error(body.detail ?? `The service answered ${response.status}.`);
    error.status = response.status;
    throw error;
  }
}

export async function post(path, content) {
  const headers = { "Content-Type": "application/json" };
  const response = await request(path, { method: "POST", headers, body: JSON.stringify(content) });
  return response.json();
}

let asking = null;

// Wait for a token other than `refused`. Requests that need one at the same time share one dialog.
function askForToken(refused) {
  if (sessionStorage.getItem(TOKEN) !== refused) return Promise.resolve();
  asking ??= showDialog(refused !== null).finally(() => (asking = null));
  return asking;
}

function showDialog(again) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "token-label");
  const form = dialog.appendChild(document.createElement("form"));
  const label = form.appendChild(document.createElement("label"));
  label.id = "token-label";
  label.htmlFor = "token";
  label.textContent = again ? "This token is wrong. Token of the service" : "Token of the service";
  const input = form.appendChild(document.createElement("input"));
  Object.assign(input, { id: "token", type: "password", required: true, autocomplete: "off" });
  const button = form.appendChild(document.createElement("button"));
  button.className = "main";
  button.textContent = "Go on";
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // A header holds only ASCII.
      sessionStorage.setItem(TOKEN, input.value.replace(/[^!-~]/g, ""));
      dialog.remove();
      resolve();
    });
  });
}

export async function showModel(element) {
  try {
    const { model } = await (await fetch("/health")).json();
    element.textContent = `Run ${model.run}, model ${model.stamp}, memefuse ${model.version}`;
  } catch {
    element.textContent = "The service does not answer.";
  }
}
