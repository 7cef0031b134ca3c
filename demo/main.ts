import "./components/chat-app.ts";
