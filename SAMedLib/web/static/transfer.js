// Sends chosen or dropped files to the server, and says how far it is.
"use strict";

window.samed = (() => {
  const say = (name, value) => window.trame?.state.set(name, value);

  function send(kind, files, folder) {
    const most = window.trame.state.get("most_upload_bytes");
    const total = files.reduce((sum, file) => sum + file.size, 0);
    const sending = window.trame.state.get("upload_percent") !== null;
    if (sending || window.trame.state.get("busy") || window.trame.state.get("reading")) return;
    if (!files.length) {
      say("upload_error", "No file was found there; choose the CT, or the folder with its slices.");
      return;
    }
    if (total > most) {
      say("upload_error", `The files have ${Math.ceil(total / 1e6)} MB; at most ${Math.floor(most / 1e6)} MB may be sent.`);
      return;
    }
    const form = new FormData();
    form.append("folder", folder || "scan");
    files.forEach((file) => form.append("files", file, file.name));
    const request = new XMLHttpRequest();
    let shown = 0;
    say("upload_error", "");
    say("upload_percent", 0);
    request.upload.onprogress = (event) => {
      const percent = Math.floor((100 * event.loaded) / event.total);
      if (percent >= shown + 5) say("upload_percent", (shown = percent));
    };
    request.onloadend = () => {
      let answer = { error: "The server did not answer; is samed web still running?" };
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // the sentence above stays
      }
      say("upload_percent", null);
      say("upload_error", answer.error);
    };
    request.open("POST", `upload/${kind}`);
    request.send(form);
  }

  function choose(kind, folder) {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = kind === "scan";
    input.webkitdirectory = folder;
    input.onchange = () => {
      const files = [...input.files];
      send(kind, files, files[0]?.webkitRelativePath.split("/")[0]);
    };
    input.click();
  }

  async function filesBelow(entry) {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return found;
      for (const one of some) found.push(...(await filesBelow(one)));
    }
  }

  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", async (event) => {
    event.preventDefault();
    const dropped = [...event.dataTransfer.files];
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [];
    for (const entry of entries) files.push(...(await filesBelow(entry)));
    send("scan", entries.length ? files : dropped, entries.find((entry) => entry.isDirectory)?.name);
  });

  return { choose };
})();
