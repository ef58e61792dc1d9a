// Which page this is, by its address.

import { comparePage } from "./compare_page.js";
import { runPage } from "./run_page.js";
import { runsPage } from "./runs_page.js";
import { RunSource } from "./source.js";

const [, kind, key] = location.pathname.split("/");

if (kind === "run" && key) {
  runPage(new RunSource(decodeURIComponent(key)));
} else if (kind === "compare") {
  comparePage([...new Set(new URLSearchParams(location.search).getAll("run"))]);
} else runsPage();
