import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import "./style/kit.css";
import "./style/screens.css";
import "./style/room.css";
import { App } from "./ui/app.tsx";
import { keepFocus } from "./ui/focus.ts";

const root = document.getElementById("app");
if (root) render(<App />, root);
keepFocus();
