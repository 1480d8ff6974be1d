// The chat page's texts, in English and Simplified Chinese.
import { dictionary } from "./language.ts";
import { chinese, english } from "./texts.ts";

export const words = dictionary(english, chinese);
