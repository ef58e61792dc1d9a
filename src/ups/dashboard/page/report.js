// The page of a report: one run, from the file that this is.

import { FileSource } from "./file_source.js";
import { moment } from "./format.js";
import { runPage } from "./run_page.js";

const data = JSON.parse(document.getElementById("ups-data").textContent);
const made = `report of ${moment(data.made)}`;

runPage(new FileSource(data), { report: data.left_out ? `${made}, without ${data.left_out}` : made });
