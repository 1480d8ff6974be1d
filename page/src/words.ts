// The chat page's texts, in English and Simplified Chinese.
import { dictionary } from "./language.ts";

export const words = dictionary(
  {
    appName: "Headrace",
  },
  {
    appName: "Headrace",
  },
);
