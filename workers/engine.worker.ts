import * as Comlink from "comlink";
import { openInBrowser } from "../src/api/open-in-browser.ts";
import { EngineService } from "../src/api/service.ts";

Comlink.expose(new EngineService(openInBrowser(navigator.gpu)));
