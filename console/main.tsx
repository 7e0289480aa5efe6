import { render } from 'preact';
import { App } from './app.tsx';
import { findOutWho } from './sign-in/who.ts';
import './style.css';

render(<App />, document.getElementById('console')!);
void findOutWho();
